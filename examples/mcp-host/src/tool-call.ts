const TIMEOUT_MS = 10_000

/** A call of a tool on an MCP server. */
export interface ToolCall {
  readonly tool: string
  readonly arguments: { readonly [name: string]: unknown }
}

/** Asks a server to do something, with the secrets that it wants as headers. @returns the status of its answer */
export async function callServer(url: string, headers: Readonly<Record<string, string>>, call: ToolCall | 'ping'): Promise<number> {
  const message = call === 'ping' ? { method: 'ping' } : { method: 'tools/call', params: { name: call.tool, arguments: call.arguments } }
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', ...headers },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }),
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  await response.body?.cancel()
  return response.status
}
