import { isVariableName } from '@keyturn/core'
import { z } from 'zod'

/** Shapes that the options of many parts have. Their messages name what was expected, never what stood there. */

/** Where a secret is read from: `{ env: 'NAME' }` or `{ file: '/run/secrets/key' }`. */
export const secretRef = z.union(
  [
    z.strictObject({ env: z.string().refine(isVariableName) }),
    z.strictObject({ file: z.string().refine((path) => path !== '' && !/[\0\r\n]|:\/\//.test(path)) }),
  ],
  { error: 'expected { "env": "NAME" } or { "file": "/path" }' },
)

/** An address without a login in it: that is a secret, and belongs into a variable. */
export const httpUrl = z
  .url({ protocol: /^https?$/, error: 'expected an address that begins with https:// or http://' })
  .refine((text) => URL.canParse(text) && new URL(text).username === '' && new URL(text).password === '', {
    error: 'expected an address without a login in it: put that into a variable',
  })
