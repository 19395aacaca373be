import { DatabaseError, type DatabaseErrorKind } from '../../rotation/database-error.ts'

/** First words of Redis' error replies, by what may be done about them. */
const kinds: readonly (readonly [RegExp, DatabaseErrorKind])[] = [
  [/^(BUSY|TRYAGAIN|OOM|MISCONF|NOREPLICAS)$/, 'contention'],
  [/^(LOADING|READONLY|MASTERDOWN|UNBLOCKED)$/, 'connection'],
]

/** What the clients say when a connection ends under them, or when an answer does not come. Whatever they sent may be sent again. */
const lost =
  /connection is closed|socket closed|socket timeout|command timed out|TimeoutError|max retries per request|stream isn't writeable|client is (closed|offline)|ECONNRESET|ECONNREFUSED|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|MaxRetries|SocketClosed|ClientClosed|ClientOffline|Disconnects|ConnectionTimeout|AbortError/i

/**
 * Our error for one of Redis or of its client. Of the original only the first word of a reply survives: what follows may quote a key or
 * a value.
 */
export function redisError(error: unknown, command: string): DatabaseError {
  if (error instanceof DatabaseError) return error
  const { name, message, code } = (error ?? {}) as { readonly name?: unknown; readonly message?: unknown; readonly code?: unknown }
  const word = firstWord(String(message))
  const kind = kinds.find(([pattern]) => pattern.test(word))?.[1]
  if (kind !== undefined) return new DatabaseError(kind, word, `sending ${command} to Redis`)
  if (lost.test(`${name} ${code} ${message}`)) return new DatabaseError('connection', 'connection lost', `sending ${command} to Redis`)
  return new DatabaseError('other', word || 'no code', `sending ${command} to Redis`)
}

/** The word with which a reply of Redis says what is wrong; empty where there is none. */
export const firstWord = (reply: string): string => /^-?([A-Z][A-Z0-9]{2,20})\b/.exec(reply)?.[1] ?? ''
