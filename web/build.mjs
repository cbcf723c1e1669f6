// Bundles the GraphiQL page into dist/, which the server hands out under /graphiql/.
//
// The entry names (graphiql.js, graphiql.css, workers/*.js) are stable because graphiql.html names them;
// the chunks carry a hash of their content and may be cached for ever.

import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const dist = join(here, 'dist');

const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  target: 'es2022',
  legalComments: 'linked', // licences of what is bundled, in *.LEGAL.txt beside it
  logLevel: 'warning',
  define: { 'process.env.NODE_ENV': '"production"' },
};

// Monaco's modules import their own style sheets. graphiql/style.css already holds every one of them, and left in
// place they would end up in the style sheet of a lazy chunk, which esbuild never loads.
const withoutMonacoStyles = {
  name: 'without-monaco-styles',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]monaco-editor[\\/].*\.css$/ }, () => ({ contents: '', loader: 'js' }));
  },
};

rmSync(dist, { recursive: true, force: true });

await Promise.all([
  build({
    ...common,
    entryPoints: { graphiql: 'src/main.jsx' },
    outdir: dist,
    format: 'esm',
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    jsx: 'automatic',
    loader: { '.graphql': 'text', '.jsonc': 'text' },
    // GraphiQL takes named exports from these two, which exist in Prettier's ES modules only; with what the old
    // names resolve to, the Prettify button does nothing.
    alias: {
      'prettier/parser-babel': 'prettier/plugins/babel',
      'prettier/parser-graphql': 'prettier/plugins/graphql',
    },
    plugins: [withoutMonacoStyles],
  }),
  // Classic scripts of their own: a worker loaded from a plain URL needs neither blob: nor eval.
  build({
    ...common,
    entryPoints: {
      editor: 'monaco-editor/esm/vs/editor/editor.worker.js',
      json: 'monaco-editor/esm/vs/language/json/json.worker.js',
      graphql: 'monaco-graphql/esm/graphql.worker.js',
    },
    outdir: join(dist, 'workers'),
    format: 'iife',
  }),
]);

const files = readdirSync(dist, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
const bytes = files.reduce((sum, file) => sum + statSync(join(file.parentPath, file.name)).size, 0);
console.log(`dist/: ${files.length} files, ${(bytes / 1e6).toFixed(1)} MB`);
