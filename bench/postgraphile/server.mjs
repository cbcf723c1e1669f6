// PostGraphile as one would run it in production: amber preset, no GraphiQL, no explain, row level security by pgSettings.
// Set by the environment: PORT, JWT_SECRET, JWT_AUDIENCE, JWT_ISSUER, POOL_SIZE, SCHEMAS and libpq's PGHOST, PGUSER, ...
import { createServer } from "node:http";
import { grafserv } from "postgraphile/grafserv/node";
import { makePgService } from "postgraphile/adaptors/pg";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { postgraphile } from "postgraphile";
import jwt from "jsonwebtoken";
import pg from "pg";

const { PORT, JWT_SECRET, JWT_AUDIENCE, JWT_ISSUER, POOL_SIZE, SCHEMAS } = process.env;

// Verified tokens are kept until they expire, as the server it is compared with does.
const known = new Map();

function settingsOf(header) {
  if (!header) return { role: "anon" };
  let entry = known.get(header);
  if (entry === undefined || entry.expires <= Date.now()) {
    const claims = jwt.verify(header.slice("Bearer ".length), JWT_SECRET, {
      algorithms: ["HS256"],
      audience: JWT_AUDIENCE,
      issuer: JWT_ISSUER,
    });
    entry = {
      expires: claims.exp * 1000,
      settings: {
        role: claims.role,
        "request.jwt.claims": JSON.stringify(claims),
        "request.jwt.claim.sub": claims.sub,
        "request.jwt.claim.role": claims.role,
      },
    };
    if (known.size >= 10_000) known.clear();
    known.set(header, entry);
  }
  return entry.settings;
}

const pool = new pg.Pool({ max: Number(POOL_SIZE), idleTimeoutMillis: 0, application_name: "postgraphile" });
pool.on("error", (error) => console.error(error.message));

const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  // It hides filters on columns without an index of their own, such as is_active; here partial indexes serve them.
  disablePlugins: ["PgIndexBehaviorsPlugin"],
  pgServices: [makePgService({ pool, schemas: SCHEMAS.split(",") })],
  grafast: {
    explain: false,
    context: ({ node }) => ({ pgSettings: settingsOf(node.req.headers.authorization) }),
  },
  grafserv: { graphqlPath: "/graphql", graphiql: false, watch: false, websockets: false },
});
const serv = instance.createServ(grafserv);
const server = createServer();
server.keepAliveTimeout = 120_000;
await serv.addTo(server);
await serv.ready();
server.listen(Number(PORT), "127.0.0.1", () => console.log("ready"));
process.on("SIGTERM", () => process.exit(0));
