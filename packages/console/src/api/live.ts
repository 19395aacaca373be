import type { Rotation } from '../domain.ts'
import { eventsAddress, rotationOf } from './rotations.ts'

/** Whether what is seen is what is. */
export type Connection = 'connecting' | 'live' | 'reconnecting' | 'ended'

const retryMs = 2_000

/**
 * Watches a rotation until it is done, through lost connections and restarts of the server. A browser takes up a broken stream by itself,
 * but gives up where a restarting server or a proxy answers with an error: then a new one is opened.
 *
 * @returns ends the watching
 */
export function watch(
  id: string,
  { told, connection }: { told: (rotation: Rotation) => void; connection: (is: Connection) => void },
): () => void {
  let source: EventSource | null = null
  let timer = 0
  const open = () => {
    source = new EventSource(eventsAddress(id))
    source.onopen = () => connection('live')
    source.addEventListener('rotation', ({ data }) => told(rotationOf(data)))
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
