/** Whether what is seen is what is. */
export type Connection = 'connecting' | 'live' | 'reconnecting' | 'ended'

const retryMs = 2_000

/** Something that goes on: where its stream is, what its events are called, and what a message of it says. */
export interface Stream<T> {
  readonly address: string
  readonly event: string
  readonly read: (message: string) => T
}

/**
 * Watches something until it is done, through lost connections and restarts of the server. A browser takes up a broken stream by itself,
 * but gives up where a restarting server or a proxy answers with an error: then a new one is opened.
 *
 * @returns ends the watching
 */
export function watch<T>(
  { address, event, read }: Stream<T>,
  { told, connection }: { told: (now: T) => void; connection: (is: Connection) => void },
): () => void {
  let source: EventSource | null = null
  let timer = 0
  const open = () => {
    source = new EventSource(address)
    source.onopen = () => connection('live')
    source.addEventListener(event, ({ data }) => told(read(data)))
    source.addEventListener('end', () => {
      source?.close()
      connection('ended')
    })
    source.onerror = () => {
      connection('reconnecting')
      if (source?.readyState !== EventSource.CLOSED) return
      timer = window.setTimeout(open, retryMs)
    }
  }
  connection('connecting')
  open()
  return () => {
    window.clearTimeout(timer)
    source?.close()
  }
}
