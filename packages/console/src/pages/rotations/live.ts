import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { type Connection, watch } from '../../api/live.ts'
import { eventsAddress, rotationOf } from '../../api/rotations.ts'
import type { Rotation } from '../../domain.ts'
import { queries } from '../../queries.ts'
import { isFinal } from '../../words/states.ts'

/** Rows a second at a time, for the curve. */
export interface Sample {
  readonly at: number
  readonly rate: number
}
const mostSamples = 600

/** A rotation as it is, and how sure that is. What was seen last stays on the page while the server is away. */
export function useLiveRotation(id: string) {
  const client = useQueryClient()
  const found = useQuery(queries.rotation(id))
  const [connection, setConnection] = useState<Connection>('connecting')
  const [samples, setSamples] = useState<readonly Sample[]>([])
  const done = found.data !== undefined && isFinal(found.data)
  const known = found.data !== undefined
  useEffect(() => {
    if (!known || done) return
    const told = (rotation: Rotation) => {
      client.setQueryData(queries.rotation(id).queryKey, rotation)
      setSamples((before) => [...before, { at: Date.now() / 1000, rate: rotation.rowsPerSecond ?? 0 }].slice(-mostSamples))
      if (isFinal(rotation)) void client.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'session' })
    }
    return watch({ address: eventsAddress(id), event: 'rotation', read: rotationOf }, { told, connection: setConnection })
  }, [id, known, done, client])
  return { found, connection: done ? 'ended' : connection, samples } as const
}
