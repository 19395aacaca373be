/** A field of an item, as Connect writes it. */
export interface ItemField {
  readonly id: string
  readonly type: string
  readonly label: string
  readonly value?: string
  readonly purpose?: 'USERNAME' | 'PASSWORD' | 'NOTES' | ''
  readonly section?: { readonly id: string; readonly label?: string }
}

export interface Item {
  readonly id: string
  readonly title: string
  readonly vault: { readonly id: string }
  readonly category: string
  readonly version: number
  readonly tags: readonly string[]
  readonly sections: readonly { readonly id: string; readonly label?: string }[]
  readonly fields: readonly ItemField[]
  readonly createdAt: string
  readonly updatedAt: string
  readonly lastEditedBy: string
}

/** A step of a JSON Patch: a field is addressed by its id, never by its place. */
export interface Patch {
  readonly op: string
  readonly path: string
  readonly value?: unknown
}

/** As a list shows it: without fields. */
export function summaryOf({ fields: _, sections: __, ...rest }: Item): Omit<Item, 'fields' | 'sections'> {
  return rest
}

/** What 1Password would not keep, in its words; null where there is nothing. */
export function fieldFault({ fields, sections }: Item): string | null {
  const passwords = fields.filter(({ purpose }) => purpose === 'PASSWORD')
  if (passwords.length > 1) return 'Validation: (too many "password" fields in Apply()), You can only use one "password" field.'
  const isLost = fields.some(({ section }) => section !== undefined && !sections.some(({ id }) => id === section.id))
  if (isLost) return 'Validation: field refers to a section that does not exist'
  return new Set(fields.map(({ id }) => id)).size < fields.length ? 'Validation: field ids are not unique' : null
}

/** The item after all steps; null if one of them cannot be done: then none is. */
export function patched(item: Item, patches: readonly Patch[]): Item | null {
  let next = item
  for (const { op, path, value } of patches) {
    if (!['add', 'remove', 'replace'].includes(op)) return null
    const [, attribute = '', id, member] = path.split('/')
    if (attribute === 'fields' && id !== undefined) {
      const field = next.fields.find((one) => one.id === id)
      if (field === undefined) return null
      const fields = changed(next.fields, field, { op, value, member })
      if (fields === null) return null
      next = { ...next, fields }
    } else if (['title', 'tags', 'favorite'].includes(attribute) && id === undefined) next = { ...next, [attribute]: value }
    else return null
  }
  return next
}

function changed(
  fields: readonly ItemField[],
  field: ItemField,
  { op, value, member }: { readonly op: string; readonly value: unknown; readonly member: string | undefined },
): readonly ItemField[] | null {
  if (member === undefined) return op === 'remove' ? fields.filter((one) => one !== field) : null
  if (!['value', 'label', 'type', 'purpose'].includes(member)) return null
  const { [member as keyof ItemField]: _, ...rest } = field
  const next = (op === 'remove' ? rest : { ...field, [member]: value }) as ItemField
  return fields.map((one) => (one === field ? next : one))
}
