import type { Answer } from './faults.ts'

/** Google's form of an error. */
export const gcpRefused = (code: number, status: string, message: string): Answer => ({
  status: code,
  body: { error: { code, message, status } },
})

export const statusNames: Record<number, string> = {
  400: 'INVALID_ARGUMENT',
  404: 'NOT_FOUND',
  405: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  503: 'UNAVAILABLE',
}
