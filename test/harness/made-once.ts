import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { inject } from 'vitest'

/**
 * A folder that is made once in a run of the tests, and read by every file that asks for it.
 *
 * It gets its name when it is complete. Files that ask at the same time each make it, and the first one stays: nobody waits for another
 * process, which might be gone.
 *
 * @param make - fills an empty folder, which is moved afterwards: nothing in it may name its own place
 */
export async function madeOnce(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const place = join(inject('runFolder'), name)
  if (existsSync(place)) return place
  const draft = `${place}.${process.pid}`
  await mkdir(draft, { recursive: true })
  try {
    await make(draft)
    await rename(draft, place)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    if (!existsSync(place)) throw error
  }
  return place
}
