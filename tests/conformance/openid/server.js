// An independent OpenID provider in Entra ID's place: npm's oidc-provider, which verifies client assertions by
// itself. One provider for each directory, because the token endpoint is the audience that an assertion must have.
//
// usage: node server.js settings.json
// Settings: module, port, certificate, key (TLS), client_id, client_certificate, directories, scope.
// Prints one line of JSON for each token that was granted or refused.

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";

const settings = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { default: Provider } = await import(settings.module);

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const { publicKey } = new X509Certificate(readFileSync(settings.client_certificate));
const jwk = publicKey.export({ format: "jwk" });

const providers = new Map();
for (const directory of settings.directories) {
  const endpoint = `/${directory}/oauth2/v2.0/token`;
  const provider = new Provider(`https://login.microsoftonline.com/${directory}/v2.0`, {
    clients: [
      {
        client_id: settings.client_id,
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: "private_key_jwt",
        token_endpoint_auth_signing_alg: "PS256",
        scope: settings.scope,
        jwks: { keys: [{ ...jwk, use: "sig", alg: "PS256" }] },
      },
    ],
    scopes: [settings.scope],
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    enabledJWA: { clientAuthSigningAlgValues: ["PS256", "RS256"] },
    routes: { token: endpoint },
  });
  provider.on("grant.success", () => tell({ directory, granted: true }));
  provider.on("grant.error", (_, error) =>
    tell({ directory, granted: false, error: error.error, why: error.error_detail ?? error.error_description }),
  );
  providers.set(endpoint, provider.callback());
}

const server = createServer(
  { cert: readFileSync(settings.certificate), key: readFileSync(settings.key) },
  (request, response) => {
    const answer = providers.get(request.url);
    if (answer) return answer(request, response);
    response.writeHead(404).end();
  },
);
server.listen(settings.port, "127.0.0.1");
