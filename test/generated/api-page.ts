import { openControl } from '../control/fixture.ts';

type Operation = {
  security?: { bearer: string[] }[];
  parameters?: { name: string; in: string }[];
  responses: Record<string, { description: string }>;
};
type Document = { paths: Record<string, Record<string, Operation>> };

const row = (method: string, path: string, { security, parameters = [], responses }: Operation): string => {
  const query = parameters.filter((parameter) => parameter.in === 'query' && parameter.name !== 'tenant').map(({ name }) => `\`${name}\``);
  const answers = Object.entries(responses)
    .filter(([status]) => status !== 'default')
    .map(([status, { description }]) => `${status}: ${description}`);
  return `| \`${method.toUpperCase()} ${path}\` | ${security?.[0]?.bearer[0] ?? 'none'} | ${query.join(' ')} | ${answers.join('<br>')} |`;
};

/** docs/control-api.md */
export async function controlApiPage(): Promise<string> {
  const control = await openControl();
  const document = (await (await control.request('GET', '/v1/openapi.json')).json()) as Document;
  const rows = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => row(method, path, operation)));
  return `# The control API
The node serves it on its control address; the command line uses nothing else. Bodies are JSON, but modules (bytes of a component) and calls of functions (what the guest takes and answers). The whole description, with every field, is the OpenAPI document at \`/v1/openapi.json\`.

**Tokens.** Every request but the two for health carries \`authorization: Bearer …\`. A token has one or more scopes: \`admin\` for everything, or \`deploy\`, \`invoke\`, \`debug\` or \`read\` with a tenant, as in \`deploy:acme\`. \`deploy\` and \`debug\` include \`read\` of the same tenant; \`deploy\` does not include \`invoke\`. Only the hash of a token is stored: it is shown once, when it is made. What belongs to another tenant answers as if it were not there.

**Tenants.** A request is about the token's own tenant, or about \`default\` with an admin's; \`?tenant=\` names another. While a tenant is suspended, its functions answer \`tenant-suspended\`, and only an admin changes anything of it.

**Lists** answer \`{items, next?}\`; \`?cursor=\` with the \`next\` of one page asks for the one after it.

**Errors** are \`application/problem+json\` with a [code](errors.md). A query with a key that the endpoint does not know is refused.

| endpoint | scope | query | answers |
|---|---|---|---|
${rows.join('\n')}

**Uploads.** With \`?digest=sha256:…\` a module that the tenant has is not read again. A module that no version refers to is kept for an hour after its last upload.

**Calls.** \`POST /v1/functions/{name}/invoke?method=PUT&path=/a&header=x-one:%201\` sends its body to the function. The answer is the guest's own, status and headers included; it has the header \`nacelle-execution\`, which a refusal of the API has not.

**Logs.** With \`?follow\` the answer is a stream of server-sent events: \`line\` with a line, \`dropped\` with how many lines a slow reader missed. A stream goes on after the line that \`last-event-id\` names, and ends when its token or its function does.

This page is made from the API's description by \`npm run generate\`.
`;
}
