import { writeFile } from 'node:fs/promises'
import { generated } from './generated.ts'

for (const [path, text] of Object.entries(generated)) {
  await writeFile(new URL(`../../${path}`, import.meta.url), await text())
  console.log(`wrote ${path}`)
}
