// A real issuer of tokens, oauth2-mock-server, with a remote control: prints its port, then does as it is told.
//
//   POST /control/publish?kids=a,b          serve these keys, made when first named, and no others
//   POST /control/token?key=a[&kid=x]       a token signed with a key, with the claims of the body; kid: what its header says
//   POST /control/down, /control/up         break off every request for keys, or answer again
//   GET  /control/fetches                   how often keys were asked for
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// Modules of NODE_PATH are found by `require` alone, which does not load this kind.
const library = join(process.env.NODE_PATH, "oauth2-mock-server", "dist", "index.mjs");
const { OAuth2Issuer, OAuth2Service } = await import(pathToFileURL(library));

const signer = new OAuth2Issuer();
let published = new OAuth2Service(new OAuth2Issuer());
let down = false;
let fetches = 0;

async function publish(kids) {
  const issuer = new OAuth2Issuer();
  for (const kid of kids) {
    const known = signer.keys.toJSON(true).find((key) => key.kid === kid);
    await issuer.keys.add(known ?? (await signer.keys.generate("RS256", { kid })));
  }
  published = new OAuth2Service(issuer);
}

async function control(url, body) {
  switch (url.pathname) {
    case "/control/publish":
      await publish(url.searchParams.get("kids").split(","));
      return "done";
    case "/control/token":
      return signer.buildToken({
        kid: url.searchParams.get("key"),
        scopesOrTransform: (header, payload) => {
          header.kid = url.searchParams.get("kid") ?? header.kid;
          Object.assign(payload, JSON.parse(body));
        },
      });
    case "/control/down":
    case "/control/up":
      down = url.pathname === "/control/down";
      return "done";
    case "/control/fetches":
      return String(fetches);
  }
  throw new Error(`nothing is at ${url.pathname}`);
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, signer.url);
  if (url.pathname === "/jwks") {
    fetches += 1;
    if (down) return request.socket.destroy();
  }
  if (!url.pathname.startsWith("/control/")) return published.requestHandler(request, response);
  let body = "";
  for await (const piece of request) body += piece;
  try {
    response.end(await control(url, body));
  } catch (error) {
    response.writeHead(500).end(String(error.stack));
  }
});
server.listen(0, "127.0.0.1", () => {
  signer.url = `http://127.0.0.1:${server.address().port}`;
  console.log(server.address().port);
});
