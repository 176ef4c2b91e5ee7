/** The part of `selfsigned` that we use, as a module of ours: a bundled CommonJS package has no named exports by itself. */
export { generate } from 'selfsigned';
