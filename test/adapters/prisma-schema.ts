/** The tables of `useUsers` as Prisma has them, with a member of users that is called `data`. */
export const prismaSchema = `
generator client {
  provider = "prisma-client"
  output = "./client"
  importFileExtension = "ts"
  runtime = "nodejs"
}
datasource db {
  provider = "postgresql"
}
model User {
  id Int @id @default(autoincrement())
  email String @unique
  token String?
  remark String? @map("note")
  picture Bytes?
  data Json?
  settings Config[]
  @@map("users")
}
model Config {
  id String @id @db.Uuid
  userId Int @map("user_id")
  secret String? @map("encrypted_secret")
  label String?
  user User @relation(fields: [userId], references: [id])
  @@unique([userId, label])
  @@map("configs")
}`
