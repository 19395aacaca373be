import { fail } from '../../errors.ts'
import { redisError } from './errors.ts'

/** What a command takes: text as UTF-8, or bytes. */
export type Argument = string | Buffer

/** A client of ioredis 5, by its shape. */
export interface IoRedisClient {
  call(command: string, ...args: Argument[]): Promise<unknown>
  callBuffer(command: string, ...args: Argument[]): Promise<unknown>
  readonly isCluster?: boolean
  readonly options?: { readonly keyPrefix?: string | undefined }
}
/** A connected client of node-redis (`redis` 5 or 6), by its shape. */
export interface NodeRedisClient {
  sendCommand(args: readonly Argument[], options?: { typeMapping?: Record<number, unknown> }): Promise<unknown>
}
/** A client of the user's, connected to one server. It stays the caller's. */
export type RedisClient = IoRedisClient | NodeRedisClient

type Send = (command: string, ...args: Argument[]) => Promise<unknown>

/** Sends commands, in the order in which they are given and without waiting for each other's answers. */
export interface Connection {
  /** Strings come back as text: what is not UTF-8 has U+FFFD in it. A Buffer for each would cost more than all else. */
  readonly send: Send
  /** Strings come back as Buffers. */
  readonly sendForBytes: Send
}

/** RESP's mark of a string, by which node-redis is told what to make of it. */
const blobString = 36

/**
 * The one way in which commands are sent, whichever library the client is of.
 *
 * @throws `ERR_USAGE` for a client of a cluster, and for one that puts a prefix of its own before keys
 */
export function connectionOf(client: RedisClient): Connection {
  if (('isCluster' in client && client.isCluster) || 'masters' in client)
    throw fail('ERR_USAGE', 'a Redis cluster is not supported: give a client of one server')
  if ('callBuffer' in client) {
    if (client.options?.keyPrefix)
      throw fail(
        'ERR_USAGE',
        'the Redis client has a keyPrefix, which SCAN knows nothing of. Give one without, and the prefix in the field',
      )
    return {
      send: (command, ...args) => named(command, client.call(command, ...args)),
      sendForBytes: (command, ...args) => named(command, client.callBuffer(command, ...args)),
    }
  }
  const sent = (mapping: typeof String | typeof Buffer): Send => {
    const options = { typeMapping: { [blobString]: mapping } }
    return (command, ...args) => named(command, client.sendCommand([command, ...args], options))
  }
  return { send: sent(String), sendForBytes: sent(Buffer) }
}

async function named(command: string, reply: Promise<unknown>): Promise<unknown> {
  try {
    return await reply
  } catch (error) {
    throw redisError(error, command)
  }
}
