// Receives deliveries with the official JavaScript SDK: prints its port, then each event as a line of JSON.
import { createRequire } from "node:module";
import { createServer } from "node:http";

// Modules of NODE_PATH are found by `require` alone.
const { HTTP } = createRequire(import.meta.url)("cloudevents");

const server = createServer((request, response) => {
  // The handshake of web hooks, which is no event.
  if (request.method !== "POST") return response.writeHead(405).end();
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    const body = Buffer.concat(pieces).toString();
    const { data, ...attributes } = HTTP.toEvent({ headers: request.headers, body }).toJSON();
    // As it leaves the encoding to its user, it leaves the decoding.
    const decoded = Object.entries(attributes).map(([name, value]) => [name, decodeURIComponent(String(value))]);
    console.log(JSON.stringify({ attributes: Object.fromEntries(decoded), data }));
    response.writeHead(204).end();
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
