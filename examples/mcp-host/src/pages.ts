import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import type { Authentication } from './authentication.ts'

/** The pages by their addresses. Nothing secret is in them: what they show, their scripts ask the API for. */
const pages = { '/admin/servers': 'servers', '/admin/encryption': 'encryption' } as const
const assets = ['page.css', 'page.js', 'login.js', 'servers.js', 'encryption.js'] as const
const types = { css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8', html: 'text/html; charset=utf-8' }

/** No code but ours, from here; nobody frames a page, so that nobody is led to press a button. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** The pages of the administrator. Who is not logged in is sent to the page that does it. */
export async function pageRoutes(app: FastifyInstance, authentication: Authentication): Promise<void> {
  app.addHook('onSend', async (_request, reply) => {
    reply.headers({ 'content-security-policy': policy, 'x-content-type-options': 'nosniff', 'referrer-policy': 'same-origin' })
  })
  for (const [path, name] of Object.entries(pages)) {
    const html = readFile(`${name}.html`)
    app.get(path, async (request, reply) => {
      if ((await authentication.personOf(request)) === null) return reply.redirect('/login')
      return reply.type(types.html).header('cache-control', 'no-store').send(html)
    })
  }
  const login = readFile('login.html')
  app.get('/', async (_request, reply) => reply.redirect('/admin/servers'))
  app.get('/login', async (_request, reply) => reply.type(types.html).send(login))
  for (const name of assets) {
    const content = readFile(name)
    app.get(`/assets/${name}`, async (_request, reply) => reply.type(name.endsWith('.css') ? types.css : types.js).send(content))
  }
}

// Read once, at the start: no path of a request ever names a file.
const readFile = (name: string) => readFileSync(new URL(`../public/${name}`, import.meta.url), 'utf8')
