# Completion of atlas for PowerShell. Put this line into $PROFILE:
#   atlas completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName atlas -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
  # PowerShell drops empty arguments; a space stands for the word that is about to begin.
  if ($wordToComplete -eq '') { $words += ' ' }
  & atlas __complete @words 2>$null | ForEach-Object {
    $value, $description = $_ -split "`t", 2
    if (-not $description) { $description = $value }
    [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $description)
  }
}
