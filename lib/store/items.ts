/** Named strings, as a keychain holds them for one service. */
export interface Items {
  get(account: string): Promise<string | undefined>
  set(account: string, value: string): Promise<void>
  /** @returns whether there was something to delete. */
  delete(account: string): Promise<boolean>
}
