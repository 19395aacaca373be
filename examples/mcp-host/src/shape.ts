/** A text with something in it, of a length that is not absurd. */
export const text = { type: 'string', minLength: 1, maxLength: 1_000 } as const

/** A schema for a body with exactly these members. */
export const shape = (properties: { readonly [name: string]: object }) => ({
  body: { type: 'object', properties, required: Object.keys(properties), additionalProperties: false },
})

/** The same, for a path with the id of a row. */
export const ofRow = (properties?: { readonly [name: string]: object }) => ({
  ...(properties === undefined ? {} : shape(properties)),
  params: { type: 'object', properties: { id: { type: 'string', format: 'uuid' } } },
})
