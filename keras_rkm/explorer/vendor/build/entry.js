// What the explorer takes of TensorFlow.js: the kernels of decoders on the WebAssembly backend.
import * as tf from '@tensorflow/tfjs-core';
import {setWasmPaths} from '@tensorflow/tfjs-backend-wasm/dist/base';
import {addConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Add';
import {batchMatMulConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/BatchMatMul';
import {castConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Cast';
import {conv2DConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Conv2D';
import {conv2DBackpropInputConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Conv2DBackpropInput';
import {eluConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Elu';
import {expConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Exp';
import {identityConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Identity';
import {leakyReluConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/LeakyRelu';
import {multiplyConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Multiply';
import {reluConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Relu';
import {relu6Config} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Relu6';
import {reshapeConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Reshape';
import {resizeBilinearConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/ResizeBilinear';
import {resizeNearestNeighborConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/ResizeNearestNeighbor';
import {seluConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Selu';
import {sigmoidConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Sigmoid';
import {softplusConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Softplus';
import {tanhConfig} from '@tensorflow/tfjs-backend-wasm/dist/kernels/Tanh';

for (const kernel of [
  addConfig, batchMatMulConfig, castConfig, conv2DConfig, conv2DBackpropInputConfig, eluConfig,
  expConfig, identityConfig, leakyReluConfig, multiplyConfig, reluConfig, relu6Config,
  reshapeConfig, resizeBilinearConfig, resizeNearestNeighborConfig, seluConfig, sigmoidConfig,
  softplusConfig, tanhConfig,
]) {
  tf.registerKernel(kernel);
}

// Starts the backend on the bytes of its .wasm file: nothing is fetched.
async function start(wasm) {
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  tf.env().platform.fetch = async () => new Response(wasm);
  setWasmPaths('embedded/', true);
  await tf.setBackend('wasm');
}

globalThis.tfjs = {
  start,
  add: tf.add,
  conv2d: tf.conv2d,
  conv2dTranspose: tf.conv2dTranspose,
  elu: tf.elu,
  exp: tf.exp,
  leakyRelu: tf.leakyRelu,
  matMul: tf.matMul,
  mul: tf.mul,
  relu: tf.relu,
  relu6: tf.relu6,
  reshape: tf.reshape,
  resizeBilinear: tf.image.resizeBilinear,
  resizeNearestNeighbor: tf.image.resizeNearestNeighbor,
  selu: tf.selu,
  sigmoid: tf.sigmoid,
  softplus: tf.softplus,
  tanh: tf.tanh,
  tensor: tf.tensor,
  tidy: tf.tidy,
};
