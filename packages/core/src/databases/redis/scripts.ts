import { createHash } from 'node:crypto'
import { DatabaseError } from '../../rotation/database-error.ts'
import type { Argument, Connection } from './client.ts'

/** A script that the server keeps by its digest. */
export interface Script {
  readonly text: string
  readonly digest: string
}
const script = (text: string): Script => ({ text, digest: createHash('sha1').update(text).digest('hex') })

/**
 * How long the values of some keys are; 0 also where a key is gone, -1 where it is of another type, -2 where the value is current.
 *
 * ARGV: the longest value that is looked at; what current values begin with, and, where they stand in documents, what those of every
 * key begin with. Both empty: then none counts as current. What makes a document current says `isCurrentBy`, in the same words.
 */
export const lengthsOf = script(`local longest, current, any = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local width = #current
local function isCurrent(value)
  if not value then return false end
  if any == '' then return string.sub(value, 1, width) == current end
  local found = string.find(value, any, 1, true)
  if not found or string.find(value, '\\\\u00', 1, true) then return false end
  while found do
    if string.sub(value, found, found + width - 1) ~= current then return false end
    found = string.find(value, any, found + width, true)
  end
  return true
end
local lengths = {}
for i, key in ipairs(KEYS) do
  local length = redis.pcall('STRLEN', key)
  if type(length) == 'table' then
    if string.sub(length.err, 1, 9) ~= 'WRONGTYPE' then return length end
    length = -1
  elseif width > 0 and length > 0 and length <= longest and isCurrent(redis.call('GET', key)) then
    length = -2
  end
  lengths[i] = length
end
return lengths`)

/**
 * Replaces values that have not changed. ARGV: for each key what was read and what shall stand there. One digit for each key: 1 where it
 * stands there now. A key that is gone, or of another type, is not made again, and no time to live is touched. A value that stands
 * there already is the one of this very call, sent again after its answer was lost: no two encryptions are equal.
 */
export const swapValues = script(`local done = {}
local found = redis.pcall('MGET', unpack(KEYS))
if found.err then return found end
for i, key in ipairs(KEYS) do
  if found[i] == ARGV[2 * i - 1] then
    local set = redis.pcall('SET', key, ARGV[2 * i], 'XX', 'KEEPTTL')
    if type(set) == 'table' and set.err then return set end
    done[i] = set and '1' or '0'
  else
    done[i] = found[i] == ARGV[2 * i] and '1' or '0'
  end
end
return table.concat(done)`)

/** Whether what `swapValues` does is allowed here, asked with a key that is not there and is not made: the error, or an empty text. */
export const tryToWrite = script(`local set = redis.pcall('SET', KEYS[1], '', 'XX', 'KEEPTTL')
return type(set) == 'table' and set.err or ''`)

/** The longest time to live of some keys in milliseconds (-1 without any), how many live for ever, and the server's clock in seconds. */
export const longestLife = script(`local longest, forever = -1, 0
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if left == -1 then forever = forever + 1 end
  if left > longest then longest = left end
end
return {longest, forever, tonumber(redis.call('TIME')[1])}`)

/** Runs a script by its digest, and by its text where the server does not know it: it was restarted, or its scripts were flushed. */
export async function run(
  send: Connection['send'],
  { text, digest }: Script,
  keys: readonly Argument[],
  args: readonly Argument[] = [],
): Promise<unknown> {
  const rest = [String(keys.length), ...keys, ...args]
  try {
    return await send('EVALSHA', digest, ...rest)
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.detail !== 'NOSCRIPT') throw error
    return await send('EVAL', text, ...rest)
  }
}
