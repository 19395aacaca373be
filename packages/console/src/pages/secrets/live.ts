import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { type Connection, watch } from '../../api/live.ts'
import { runEvents, runOf } from '../../api/secrets.ts'
import { queries } from '../../queries.ts'
import type { Run } from '../../secret.ts'
import { isOver } from '../../words/secrets.ts'

/** A run as it is, and how sure that is. What was seen last stays on the page while the server is away. */
export function useLiveRun(id: string) {
  const client = useQueryClient()
  const found = useQuery(queries.run(id))
  const [connection, setConnection] = useState<Connection>('connecting')
  const known = found.data !== undefined
  const done = found.data !== undefined && isOver(found.data)
  useEffect(() => {
    if (!known || done) return
    const told = (run: Run) => {
      client.setQueryData(queries.run(id).queryKey, run)
      if (isOver(run)) void client.invalidateQueries({ queryKey: ['secrets'] })
    }
    return watch({ address: runEvents(id), event: 'run', read: runOf }, { told, connection: setConnection })
  }, [id, known, done, client])
  return { found, connection: done ? 'ended' : connection } as const
}
