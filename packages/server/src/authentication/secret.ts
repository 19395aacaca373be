import { createHash, randomBytes } from 'node:crypto'

/** 256 random bits as text that stands in cookies and links. */
export const drawSecret = (): string => randomBytes(32).toString('base64url')

/** What is stored of a random secret, in hexadecimal. It has 256 bits, so that a fast hash is as good as a slow one. */
export const hashOf = (...parts: readonly string[]): string => createHash('sha256').update(JSON.stringify(parts)).digest('hex')

/** Whether text has the form of `drawSecret`: anything else need not be looked up. */
export const isSecret = (text: string): boolean => /^[\w-]{43}$/.test(text)
