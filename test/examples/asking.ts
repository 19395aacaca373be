/** How a test asks an example. */
export interface Asking {
  readonly token?: string
  readonly cookie?: string
  readonly body?: object
  readonly headers?: Readonly<Record<string, string>>
}
export interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: what it holds, the test says
  readonly body: any
}

/** Sends a request on a connection of its own: a kept one would end with the instance that it leads to. */
export async function send(url: string, method: string, path: string, { token, cookie, body, headers }: Asking = {}): Promise<Response> {
  return await fetch(url + path, {
    method,
    headers: {
      Connection: 'close',
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(cookie === undefined ? {} : { Cookie: cookie }),
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

/** Asks an instance, or what stands before several. Its answers are JSON. */
export async function ask(url: string, method: string, path: string, asking: Asking = {}): Promise<Answer> {
  const response = await send(url, method, path, asking)
  return { status: response.status, body: await response.json() }
}
