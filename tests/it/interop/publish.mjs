// Publishes one event with the official JavaScript SDK: publish.mjs URL binary|structured ID
import { createRequire } from "node:module";
import { request } from "node:http";

// Modules of NODE_PATH are found by `require` alone.
const { CloudEvent, HTTP } = createRequire(import.meta.url)("cloudevents");

const [url, mode, id] = process.argv.slice(2);
const event = new CloudEvent({
  id,
  source: "/javascript",
  type: "interop.published",
  datacontenttype: "application/json",
  subject: "grüße 100% – ☃ 🌍",
  note: 'a "quoted" b%41 \\ c',
  data: { text: "häppchen ☃", number: 12 },
});
const message = HTTP[mode](event);
// In binary mode the SDK leaves the percent-encoding of values (HTTP binding, section 3.1.3.2) to its user.
const encode = (value) => String(value).replace(/[^\x21\x23-\x24\x26-\x7e]/gu, encodeURIComponent);
const encoded = ([name, value]) => [name, name.startsWith("ce-") ? encode(value) : value];
const headers = Object.fromEntries(Object.entries(message.headers).map(encoded));

const call = request(url, { method: "POST", headers }, (response) => {
  let body = "";
  response.on("data", (piece) => (body += piece));
  response.on("end", () => console.log(response.statusCode, body));
});
call.end(message.body);
