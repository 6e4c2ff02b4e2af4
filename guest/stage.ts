/** Whether a request is served. Before, when the component is built, nothing of the host can be called. */
export const stage = { serving: false };
