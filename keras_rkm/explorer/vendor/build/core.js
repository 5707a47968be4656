// TensorFlow.js without its gradients and its methods of tensors, which a decoder does not need.
import '@tensorflow/tfjs-core/dist/base_side_effects';
export * from '@tensorflow/tfjs-core/dist/base';
