"""Asks again and again on one connection, with Python's own TLS, until the connection is cut."""

import http.client
import socket
import ssl
import sys
import time

port, host, bundle, certificate, key = sys.argv[1:]
context = ssl.create_default_context(cafile=bundle)
context.load_cert_chain(certificate, key)
raw = socket.create_connection(("127.0.0.1", int(port)))
raw.settimeout(20)
secured = context.wrap_socket(raw, server_hostname=host)
assert secured.version() == "TLSv1.3", secured.version()
connection = http.client.HTTPConnection(host)
connection.sock = secured
# A second connection would hide the cut.
connection.connect = lambda: (_ for _ in ()).throw(ConnectionError("not again"))
try:
    while True:
        connection.request("GET", "/")
        response = connection.getresponse()
        print(response.status, response.read().decode(), flush=True)
        time.sleep(0.05)
except (OSError, http.client.HTTPException):
    print("cut", flush=True)
