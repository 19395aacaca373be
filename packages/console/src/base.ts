/** The prefix under which the server stands: `/`, or `/keyturn/` in an application. The server writes it into the page. */
export const base: string = new URL('.', document.baseURI).pathname

/** The address of a route of the API, such as `v1/keyrings`. */
export const address = (path: string): string => `${base}${path}`
