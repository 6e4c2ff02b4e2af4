/** What a client is told of each error: its HTTP status, what caused it and what to do. docs/errors.md is made from this table. */
export type ErrorEntry = { status: number; cause: string; remedy: string };

const table = {
  'module-invalid': {
    status: 422,
    cause: 'The bytes are not a component that this node can run.',
    remedy: 'Upload a WebAssembly component (not a core module) built for wasi:http 0.2.',
  },
  'import-unknown': {
    status: 422,
    cause: 'The component imports an interface or function that this node does not provide.',
    remedy: 'Build the component against an interface that the message names, or compose the missing part into it.',
  },
  'import-not-granted': {
    status: 422,
    cause: 'The component imports a capability that its manifest does not grant.',
    remedy: 'Add the capability to the manifest.',
  },
  'manifest-invalid': { status: 422, cause: 'The manifest has unknown keys or values out of range.', remedy: 'Correct each problem that the message lists.' },
  'config-invalid': { status: 422, cause: 'A setting of the node is unknown or out of range.', remedy: 'Correct each problem that the message lists.' },
  'build-failed': { status: 422, cause: 'The source of a function cannot be built into a component.', remedy: 'Correct what the message names.' },
  'request-invalid': { status: 400, cause: 'The request is not of the form that the API takes.', remedy: 'Compare it with /v1/openapi.json.' },
  'unauthorized': { status: 401, cause: 'The token is missing, unknown or expired.', remedy: 'Send a valid token as "authorization: Bearer …".' },
  'forbidden': { status: 403, cause: 'The token has no scope for this.', remedy: 'Use a token with the scope that the message names.' },
  'protocol-unsupported': {
    status: 409,
    cause: 'An edge and its origin are of versions of nacelle that do not understand each other. The edge goes on with what it has.',
    remedy: 'Update the one that the message names.',
  },
  'not-found': { status: 404, cause: 'There is nothing of this name, or it is not yours to see.', remedy: 'Check the name and the tenant.' },
  'method-not-allowed': {
    status: 405,
    cause: 'There is something at this path, but not for this method.',
    remedy: 'Use one of the methods in the header "allow".',
  },
  'function-not-found': { status: 404, cause: 'No function answers at this host and path.', remedy: 'Check the URL, or deploy the function.' },
  'version-not-found': { status: 404, cause: 'The function has no such version.', remedy: 'List them with "nacelle versions FN".' },
  'module-not-found': { status: 404, cause: 'The tenant has not uploaded a module with this digest.', remedy: 'PUT it to /v1/modules first.' },
  'execution-not-found': {
    status: 404,
    cause: 'The execution is unknown or too old to be kept.',
    remedy: 'The last 1,000 executions of each function are kept.',
  },
  'route-taken': { status: 409, cause: 'Another function already answers at this route.', remedy: 'Choose another route.' },
  'route-not-allowed': {
    status: 403,
    cause: 'The route is outside of what an admin gave to this tenant.',
    remedy: 'Ask an admin for the route ("nacelle tenants add T --route …").',
  },
  'conflict': { status: 409, cause: 'Somebody else changed this at the same time.', remedy: 'Read it again and repeat.' },
  'already-exists': { status: 409, cause: 'Something of this name is already there.', remedy: 'Choose another name, or remove it first.' },
  'body-too-large': { status: 413, cause: 'The body is larger than the limit.', remedy: 'Send less, or raise the limit that the message names.' },
  'header-too-large': { status: 502, cause: "The headers of the guest's response are larger than the limit.", remedy: 'Send smaller headers.' },
  'guest-trap': { status: 502, cause: 'The guest trapped.', remedy: 'Read its log: it has the trap and the wasm backtrace.' },
  'guest-exit': { status: 502, cause: 'The guest exited before it answered.', remedy: 'Answer before calling exit.' },
  'guest-no-response': {
    status: 502,
    cause: 'The guest returned without a response, or did not finish it.',
    remedy: 'Set the response outparam exactly once and finish its body.',
  },
  'guest-error': { status: 502, cause: 'The guest answered with an error-code instead of a response.', remedy: 'Read its log; the message names the code.' },
  'memory-limit': { status: 502, cause: 'The guest was refused more memory and then failed.', remedy: 'Raise limits.memoryMib, or use less.' },
  'cpu-limit': { status: 504, cause: 'The guest used more CPU time than its limit.', remedy: 'Raise limits.cpuMs, or do less in one execution.' },
  'time-limit': { status: 504, cause: 'The execution took longer than its limit.', remedy: 'Raise limits.timeMs, or answer earlier.' },
  'client-gone': { status: 499, cause: 'The client closed the connection before the response was complete.', remedy: 'Nothing: the execution was ended.' },
  'capacity-exhausted': {
    status: 503,
    cause: 'The function runs as many executions as its concurrency, its reservation or the isolates of the node allow.',
    remedy: 'Retry after the time in Retry-After, or raise what the message names.',
  },
  'sidecar-not-found': {
    status: 422,
    cause: 'There is no sidecar of this name and version, or it is not yours to see.',
    remedy: 'List them with "nacelle sidecars ls".',
  },
  'sidecar-invalid': {
    status: 422,
    cause: 'The sidecars cannot be linked with the function, or with each other, or one does not take its configuration.',
    remedy: 'Correct what the message names: an interface, a version, a type, a circle, or a setting.',
  },
  'sidecar-in-use': {
    status: 409,
    cause: 'Functions link the sidecar.',
    remedy: 'Deploy the functions that the message names without it first, or remove them.',
  },
  'sidecar-failed': {
    status: 502,
    cause: 'A sidecar of the function did not get ready, or failed.',
    remedy: "Read the function's log: the message names the sidecar.",
  },
  'debug-refused': {
    status: 403,
    cause: 'A sidecar was asked for by header without a token that allows it.',
    remedy: 'Send "nacelle-debug-token" with the scope debug:<tenant>.',
  },
  'isolate-lost': {
    status: 503,
    cause: 'The isolate that ran the execution is gone, and the execution cannot be run again.',
    remedy: 'Retry, if doing it twice does no harm.',
  },
  'event-failed': {
    status: 502,
    cause: 'The function answered the delivery of an event with a status that says it did not take it.',
    remedy: 'Read its log; the delivery is tried again as onFailure says.',
  },
  'event-refused': {
    status: 502,
    cause: 'The function answered the delivery of an event with a status that says it never will take it (4xx but 408, 425 and 429, or 3xx).',
    remedy: 'Correct the event or the function, then redrive it.',
  },
  'event-too-old': {
    status: 410,
    cause: 'The event is older than onFailure.maxAgeMs.',
    remedy: 'Redrive it from the dead letters, or raise onFailure.maxAgeMs.',
  },
  'event-loop': {
    status: 508,
    cause: 'The event is the last of more than 16 that led to one another.',
    remedy: 'Look for functions that send events to each other in a circle.',
  },
  'result-refused': {
    status: 502,
    cause: 'The function answered, and a function that onResult names judged the answer wrong.',
    remedy: 'Read the verdict in the attempts of the execution (GET /v1/executions/:id).',
  },
  'control-recursion': {
    status: 422,
    cause: 'A function that onFailure.control or onResult names has such a function itself, or is the function itself.',
    remedy: 'Name a function without onFailure.control and onResult.',
  },
  'dead-letters-full': {
    status: 507,
    cause: 'The queue of dead letters has reached its limit.',
    remedy: 'Redrive or drop some; until then failed events wait in their own queue.',
  },
  'deadlock-victim': {
    status: 503,
    cause: 'Executions waited for the locks of each other, and this one had to give way, again and again; nothing that it did was kept.',
    remedy: 'Have functions acquire their locks in the same order, or retry later.',
  },
  'lease-lost': { status: 503, cause: 'What was leased is no longer yours: the lease has ended.', remedy: 'Begin again.' },
  'execution-failed': {
    status: 502,
    cause: 'No attempt at the execution succeeded; nothing that it did was kept.',
    remedy: 'Look at its attempts (GET /v1/executions/:id), and send the request again with the same key.',
  },
  'execution-conflict': {
    status: 409,
    cause: 'A request with this key is being executed.',
    remedy: 'Retry after the time in Retry-After, or wait with "prefer: wait=SECONDS".',
  },
  'execution-mismatch': {
    status: 422,
    cause: 'The key was used for another request: method, path, query or body differ.',
    remedy: 'Use a new key for each request, and the same for its repetition.',
  },
  'guarantee-irreversible': {
    status: 422,
    cause:
      'Failed executions of functions with "guarantee" or "events", and failed deliveries of events, are undone, and the function may do what cannot be undone.',
    remedy:
      'Take capabilities.http out, of its sidecars too, and buckets of shared ones, or set guarantee.outbound to "allow": the guarantee then excludes these.',
  },
  'tenant-suspended': { status: 403, cause: 'The tenant is suspended.', remedy: 'Ask an admin to resume it.' },
  'precondition-failed': {
    status: 412,
    cause: 'A condition of the request does not hold.',
    remedy: 'Read the object again, and repeat with its present ETag.',
  },
  'range-not-satisfiable': {
    status: 416,
    cause: 'None of the ranges that were asked for is within the object.',
    remedy: 'Ask for bytes below its size, which content-range tells, or without a range.',
  },
  'quota-exceeded': { status: 507, cause: 'The bucket has reached its quota.', remedy: 'Remove objects, or raise quotaBytes of the bucket.' },
  'source-in-use': {
    status: 409,
    cause: 'Other objects are computed from this one, and its bucket refuses changes of such.',
    remedy: 'Remove those objects first, or set whenSource of the bucket to "keep".',
  },
  'generator-refused': {
    status: 422,
    cause: 'The function cannot be relied on to give the same bytes again, or cannot be found.',
    remedy: 'Use a function that reads its request and nothing else; the message names what is in the way.',
  },
  'generator-failed': {
    status: 502,
    cause: 'The function that makes the object failed.',
    remedy: "Read the function's log; call it with the same source to see what it answers.",
  },
  'generator-differs': {
    status: 502,
    cause: 'The function that makes the object gave other bytes than before.',
    remedy: 'Put the object anew: the function is not relied on any more.',
  },
  'follows-origin': {
    status: 409,
    cause: 'The node is an edge: what it serves is deployed at its origin.',
    remedy: 'Send the request to the origin that the message names.',
  },
  'store-full': { status: 507, cause: 'The store has reached its size limit.', remedy: 'Remove data, or raise the limit.' },
  'unavailable': { status: 503, cause: 'The node cannot do this now.', remedy: 'Retry later.' },
  'not-implemented': { status: 501, cause: 'This version of the node does not do this yet.', remedy: 'Leave the option out.' },
  'address-in-use': { status: 500, cause: 'Another process listens on the address.', remedy: 'Stop it, or choose another address with --http or --control.' },
  'data-in-use': { status: 500, cause: 'Another node uses the data directory.', remedy: 'Stop it, or choose another directory with --data.' },
  'internal': { status: 500, cause: 'A defect in the node.', remedy: 'Report it with the log around this time.' },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof table;

export const errorTable: Readonly<Record<ErrorCode, ErrorEntry>> = table;

/**
 * An error that a caller is told about. `message` says the action, the constraint and the actual value.
 * `problems` lists several findings of one check.
 */
export class Problem extends Error {
  readonly code: ErrorCode;
  readonly problems: readonly string[] | undefined;
  /** After which time it is worth to try again, where that is known. */
  readonly retryAfterMs: number | undefined;
  constructor(code: ErrorCode, message: string, problems?: readonly string[], retryAfterMs?: number) {
    super(message);
    this.name = 'Problem';
    this.code = code;
    this.problems = problems;
    this.retryAfterMs = retryAfterMs;
  }

  get status(): number {
    return errorTable[this.code].status;
  }

  /** The body of an application/problem+json response (RFC 9457). */
  toJSON(): { type: string; title: string; status: number; code: ErrorCode; detail: string; remedy: string; problems?: readonly string[] } {
    const { status, cause, remedy } = errorTable[this.code];
    return {
      type: `urn:nacelle:error:${this.code}`,
      title: cause,
      status,
      code: this.code,
      detail: this.message,
      remedy,
      ...(this.problems ? { problems: this.problems } : {}),
    };
  }
}
