// node audit.mjs URL: what graphql-http's audits find there, as JSON: [{name, status, reason}]
import { auditServer } from "graphql-http";

const results = await auditServer({ url: process.argv[2] });
console.log(JSON.stringify(results.map(({ name, status, reason }) => ({ name, status, reason: reason ?? null }))));
