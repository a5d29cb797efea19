// Scripts for shells, imported as text.
declare module '*.bash'
declare module '*.zsh'
declare module '*.fish'
declare module '*.ps1'
