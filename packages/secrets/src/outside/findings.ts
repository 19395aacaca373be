import { isKeyturnError } from '@keyturn/core'
import type { Finding } from '../secret/call.ts'

/** What a look found; a look that fails is a fault itself: what cannot be asked now could not be asked in a run. */
export async function findings(look: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  try {
    return await look()
  } catch (error) {
    if (isKeyturnError(error)) return [{ severity: 'fault', sentence: error.message }]
    throw error
  }
}
