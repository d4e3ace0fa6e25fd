"""Publishes one event with the official Python SDK: publish.py URL binary|structured ID"""

import sys
import urllib.request

from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

url, mode, identifier = sys.argv[1:]
event = CloudEvent(
    {
        "id": identifier,
        "source": "/python",
        "type": "interop.published",
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "subject": "grüße 100% – ☃ 🌍",
        "note": 'a "quoted" b%41 \\ c',
    },
    {"text": "häppchen ☃", "number": 12},
)
message = {"binary": to_binary_event, "structured": to_structured_event}[mode](event)
request = urllib.request.Request(url, data=message.body, headers=message.headers, method="POST")
with urllib.request.urlopen(request) as response:
    print(response.status, response.read().decode())
