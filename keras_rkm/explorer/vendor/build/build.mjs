// Bundles the runtime: node build.mjs FOLDER, after `npm ci`.
import * as esbuild from 'esbuild';
import {readFileSync, writeFileSync} from 'node:fs';

const backend = 'node_modules/@tensorflow/tfjs-backend-wasm';
const {version} = JSON.parse(readFileSync(`${backend}/package.json`, 'utf8'));
const folder = process.argv[2];

await esbuild.build({
  entryPoints: ['entry.js'],
  outfile: `${folder}/tfjs.min.js`,
  bundle: true,
  minify: true,
  format: 'iife',
  platform: 'browser',
  target: 'es2020',
  legalComments: 'none',
  banner: {js: `/* TensorFlow.js ${version}, see LICENSES.txt */`},
  // The parts for Node and for several threads are never reached.
  external: ['fs', 'path', 'os', 'worker_threads', 'perf_hooks', 'crypto', 'util', 'node-fetch'],
  plugins: [{
    name: 'parts',
    setup(build) {
      const core = {path: `${process.cwd()}/core.js`};
      build.onResolve({filter: /^@tensorflow\/tfjs-core$/}, () => core);
      build.onLoad({filter: /tfjs-backend-wasm-threaded-simd(\.worker)?\.js$/}, () => ({
        contents: 'module.exports = {wasmWorkerContents: ""}',
      }));
    },
  }],
});
writeFileSync(`${folder}/tfjs.wasm`, readFileSync(`${backend}/wasm-out/tfjs-backend-wasm-simd.wasm`));
