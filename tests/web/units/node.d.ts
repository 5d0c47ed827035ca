// The parts of Node's modules that the unit tests use: no package of types is needed for them.
declare module 'node:test' {
  type Body = (context: any) => void | Promise<void>;
  export function test(name: string, body: Body): void;
  export function describe(name: string, body: () => void): void;
  export default test;
}
declare module 'node:assert/strict' {
  const assert: any;
  export default assert;
}
declare module 'node:fs' {
  export function readFileSync(path: string | URL, encoding: 'utf8'): string;
  export function readdirSync(path: string | URL): string[];
}
declare const process: { env: Record<string, string | undefined>; argv: string[] };
declare function setImmediate(fn: (value?: unknown) => void): void;
