import type { Credential } from '../../secret/credential.ts'

const MOST = 300

/** What a program said, as a sentence to keep; empty where a part of a credential stands in it. */
export function shortSentence(text: string, credentials: readonly (Credential | null)[]): string {
  const values = credentials.flatMap((one) => Object.values(one?.parts ?? {})).filter((value) => value.length > 3)
  const isTold = values.some((value) => text.includes(value) || text.includes(encodeURIComponent(value)))
  return isTold
    ? ''
    : text
        .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
        .trim()
        .slice(0, MOST)
}
