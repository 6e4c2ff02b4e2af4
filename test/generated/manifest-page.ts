import { manifestJsonSchema } from '../../host/deploy/manifest-schema.ts';

type Schema = {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: string[];
  minimum?: number;
  maximum?: number;
  maxItems?: number;
  properties?: Record<string, Schema>;
};

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

const valuesOf = ({ type, enum: values, minimum, maximum, maxItems }: Schema): string => {
  if (values) return values.map((value) => `\`"${value}"\``).join(', ');
  if (type === 'integer') return `${minimum} to ${maximum}`;
  if (type === 'array') return `list, at most ${maxItems}`;
  return type === 'object' ? 'strings by name' : (type ?? '');
};

const rowsOf = (schema: Schema, path: string): string[] =>
  Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
    const name = path ? `${path}.${key}` : key;
    if (child.properties) return rowsOf(child, name);
    const fallback = child.default === undefined ? '' : `\`${JSON.stringify(child.default)}\``;
    return [`| \`${name}\` | ${cell(valuesOf(child))} | ${fallback} | ${cell(child.description ?? '')} |`];
  });

/** docs/manifest.md */
export function manifestPage(): string {
  return `# The manifest
A function is described by \`nacelle.jsonc\` beside its source, JSON with comments; \`nacelle deploy\` reads it, uploads the component and makes a version. Every key can also be set by \`--set\`. Unknown keys are refused, and all problems are listed at once. A limit above the node's ceiling ([configuration](configuration.md)) or what a function of the tenant may have (\`nacelle tenants limit\`), \`capacity.prewarm\` too, is refused; a default above it is lowered.

\`\`\`jsonc
{
  "$schema": "./node_modules/nacelle/manifest.schema.json",
  "name": "orders",
  "component": "./build/orders.wasm",
  "routes": ["/orders/*", "orders.example.com"],
  "limits": { "memoryMib": 64, "cpuMs": 50 },
  "config": { "CURRENCY": "EUR" },
  "secrets": ["PAYMENT_KEY"],
  "capabilities": { "http": ["api.example.com:443"] }
}
\`\`\`

| key | values | default | |
|---|---|---|---|
${rowsOf(manifestJsonSchema() as Schema, '').join('\n')}

## Routes
A function \`orders\` of the tenant \`default\` answers at \`orders.<domain>\`, and at \`/orders/…\` with the prefix removed and \`x-forwarded-prefix\` added; one of the tenant \`acme\` at \`orders.acme.<domain>\` and \`/~acme/orders/…\`. \`routes\` adds others, where the guest sees the path as sent:

| route | answers |
|---|---|
| \`/orders/*\` | \`/orders\` and all below, on every host |
| \`/orders\` | just this path |
| \`/*\` | every path |
| \`orders.example.com\` | every path of the host |
| \`*.example.com\` | every host below \`example.com\`, not itself |
| \`orders.example.com/api/*\` | the path on the host |

The most specific route of all functions answers: an exact host before a wildcard before none, then the longer path. A route is held by one function; a second is refused with \`route-taken\`. Tenants other than \`default\` use only routes that an admin gave them (\`nacelle tenants add acme --route …\`): a host given covers its paths, a wildcard the hosts below it, a path without host only routes without host.

## Capabilities
What is not granted cannot be reached. Toolchains import interfaces that a component never uses, so an import that is not granted is no error at deploy: \`nacelle show\` lists it under what is denied, and a call of it fails as the interface says (outgoing requests with \`HTTP-request-denied\`). Sockets are always denied.

## Secrets
The values of \`secrets\` are put with \`nacelle secrets put\`, kept encrypted, and never shown. The guest reads them through \`wasi:config\` beside \`config\`. A new value is a fresh start for the function's instances, not a new version.

This page is made from \`host/deploy/manifest-schema.ts\` by \`npm run generate\`.
`;
}
