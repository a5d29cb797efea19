<#
.SYNOPSIS
Installs atlas for the user who runs it, or replaces it by a newer one. Never needs an administrator.

.DESCRIPTION
Nothing that was downloaded runs before its SHA-256 is that in SHA256SUMS, and before the signature of SHA256SUMS was
checked where ssh-keygen can do that. With ATLAS_REQUIRE_SIGNATURE=1, nothing is installed where it cannot; with 0, also
where ssh-keygen is there and does not work.
ATLAS_VERSION, ATLAS_INSTALL_BASE_URL and ATLAS_INSTALL_DIR stand for the parameters.

.EXAMPLE
powershell -ExecutionPolicy Bypass -File install.ps1 -Version 0.1.0
#>
param(
  [string] $Version = $env:ATLAS_VERSION,
  [string] $BaseUrl = $env:ATLAS_INSTALL_BASE_URL,
  [string] $Dir = $env:ATLAS_INSTALL_DIR
)

$ErrorActionPreference = 'Stop'
# The progress bar of Windows PowerShell makes downloads many times slower.
$ProgressPreference = 'SilentlyContinue'

$DefaultVersion = '0.1.0'
$DefaultBaseUrl = 'https://atlas.example.com/releases'
# The line of release/allowed_signers: who signs SHA256SUMS, and by which key.
$Signer = 'release@atlas namespaces="atlas-release" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN1CUCqk4L8rGPrLjzKVfRBmPr70cJkbZQUlfsySf0nq'
# Host and port alone: what stands before an @ may look like a host, and is none.
$SafeUrl = '^(https://[\[\]a-z0-9.:-]+|http://(127\.0\.0\.1|localhost)(:[0-9]+)?)(/|$)'

function Stop-Installation([string] $Message, [string] $Hint) {
  [Console]::Error.WriteLine("install.ps1: $Message.`n             $Hint")
  exit 1
}

function Get-Target {
  # A 32-bit shell on a 64-bit machine has the machine's architecture in the second variable.
  $machine = if ($env:PROCESSOR_ARCHITEW6432) { $env:PROCESSOR_ARCHITEW6432 } else { $env:PROCESSOR_ARCHITECTURE }
  switch ($machine) {
    'AMD64' { return 'windows-x64' }
    'ARM64' { return 'windows-arm64' }
    default { Stop-Installation "there is no atlas for $machine" 'It is built for x86-64 and arm64.' }
  }
}

# Redirects are followed here, where each is checked: https leads to https alone, this machine to itself or to https.
function Get-ReleaseFile([string] $Url, [string] $File, [string] $Otherwise = "$Url could not be downloaded") {
  $current = $Url
  foreach ($attempt in 1..6) {
    try {
      $request = [Net.HttpWebRequest] [Net.WebRequest]::Create($current)
      $request.AllowAutoRedirect = $false
      # A proxy would be another machine, asked by plain http.
      if ($current -notmatch '^https:') { $request.Proxy = $null }
      $response = $request.GetResponse()
      $status = [int] $response.StatusCode
      $location = $response.Headers['Location']
      if ($status -eq 200) {
        $output = [IO.File]::Create($File)
        try { $response.GetResponseStream().CopyTo($output) } finally { $output.Dispose() }
        if ($response.ContentLength -ge 0 -and (Get-Item -LiteralPath $File).Length -ne $response.ContentLength) { throw 'cut short' }
        return
      }
      if ($status -lt 300 -or $status -gt 399 -or -not $location) { throw "status $status" }
      $next = [Uri]::new([Uri] $current, $location).AbsoluteUri
    } catch {
      Stop-Installation $Otherwise 'Check the connection, the version and the base URL. Nothing was installed.'
    } finally {
      if ($response) { $response.Close() }
      $response = $null
    }
    if ($next -notmatch $SafeUrl -or ($current -match '^https:' -and $next -notmatch '^https:')) {
      Stop-Installation "$current redirects to plain http or to an invalid URL" 'Report it. Nothing was installed.'
    }
    $current = $next
  }
  Stop-Installation "$Url redirects more than five times" 'Report it. Nothing was installed.'
}

# With a file as standard input, which PowerShell would change on its way. An older ssh-keygen does not know -Y.
function Invoke-SshKeygen([string] $Arguments, [string] $InputFile) {
  $said = [IO.Path]::GetTempFileName(), [IO.Path]::GetTempFileName()
  try {
    $run = Start-Process -FilePath ssh-keygen -ArgumentList $Arguments -NoNewWindow -Wait -PassThru `
      -RedirectStandardInput $InputFile -RedirectStandardOutput $said[0] -RedirectStandardError $said[1]
    return @{ Status = $run.ExitCode; Text = [IO.File]::ReadAllText($said[0]) + [IO.File]::ReadAllText($said[1]) }
  } finally {
    Remove-Item -Force -ErrorAction SilentlyContinue -LiteralPath $said
  }
}

# Nothing where it can. Before 8.1, -Y is an unknown option.
function Get-SignatureFault([string] $Folder) {
  if (-not (Get-Command -CommandType Application -ErrorAction SilentlyContinue ssh-keygen)) { return 'there is no ssh-keygen' }
  $nothing = Join-Path $Folder 'nothing'
  [IO.File]::WriteAllText($nothing, '')
  $said = (Invoke-SshKeygen '-Y verify' $nothing).Text
  if ($said -match ' verify') { return '' }
  if ($said -match 'usage') { return 'there is no ssh-keygen of OpenSSH 8.1 or later' }
  return "ssh-keygen does not work ($(($said -split '\r?\n')[0]))"
}

# There are other programs of that name.
function Get-InstalledVersion([string] $Program) {
  $said = try { & $Program --version } catch { '' }
  if ("$said" -match '^atlas/[0-9]') { return "$said" }
  Stop-Installation "$Program is another program, or does not run" 'Remove it if it is not needed, or choose another folder with -Dir.'
}

# By the key of this script alone, whatever keys the user trusts otherwise.
function Test-Signature([string] $Sums, [string] $Folder) {
  $signers = Join-Path $Folder 'signer'
  [IO.File]::WriteAllText($signers, "$Signer`n")
  $principal = $Signer.Split(' ')[0]
  $of = "-n atlas-release -s `"$Sums.sig`""
  if ((Invoke-SshKeygen "-Y verify -f `"$signers`" -I $principal $of" $Sums).Status -eq 0) { return }
  if ((Invoke-SshKeygen "-Y check-novalidate $of" $Sums).Status -ne 0) {
    Stop-Installation 'SHA256SUMS is not what was signed' 'It is damaged or was tampered with. Nothing was installed.'
  }
  Stop-Installation 'SHA256SUMS was signed with another key' 'Use the install.ps1 of the same release. Nothing was installed.'
}

# The line of the archive alone: other lines of the file may be wrong, or made to mislead, without effect.
function Test-Checksum([string] $Sums, [string] $Folder, [string] $Name, [string] $Target) {
  $lines = @(Get-Content -LiteralPath $Sums | Where-Object { $_ -cmatch "^[^ ]* [ *]$([regex]::Escape($Name))\z" })
  if ($lines.Count -gt 1) { Stop-Installation "SHA256SUMS names $Name more than once" 'Nothing was installed.' }
  # What was signed for an older release stays signed: only the names tell releases apart.
  $pattern = "^[0-9a-f]{64} [ *]atlas-(?<version>[0-9a-z.+-]*)-$Target\.zip\z"
  $others = @(foreach ($line in Get-Content -LiteralPath $Sums) { if ($line -match $pattern) { $Matches['version'] } })
  if ($lines.Count -eq 0 -and $others.Count -eq 1) {
    Stop-Installation "SHA256SUMS is that of release $($others[0]), not of $Version" 'Check the version and the base URL. Nothing was installed.'
  }
  if ($lines.Count -eq 0 -or $lines[0] -notmatch '^[0-9a-f]{64} ') {
    Stop-Installation "SHA256SUMS has no checksum of $Name" 'Check the base URL. Nothing was installed.'
  }
  $actual = (Get-FileHash -Algorithm SHA256 -LiteralPath (Join-Path $Folder $Name)).Hash
  if ($actual -ne $lines[0].Substring(0, 64)) {
    Stop-Installation "$Name is not what SHA256SUMS says it is" 'It is damaged or was tampered with. Nothing was installed.'
  }
}

# All in functions, called on the last line: a script that arrives cut short does nothing.
function Install-Atlas {
  if (-not $Version) { $Version = $DefaultVersion }
  if ($Version -cnotmatch '^[A-Za-z0-9.+-]+$') {
    Stop-Installation "`"$Version`" is not a version" "Give one such as $DefaultVersion."
  }
  if (-not $BaseUrl) { $BaseUrl = "$DefaultBaseUrl/$Version" }
  $BaseUrl = $BaseUrl.TrimEnd('/')
  if ($BaseUrl -notmatch $SafeUrl) {
    Stop-Installation "$BaseUrl is not an https URL" 'Give one with -BaseUrl or ATLAS_INSTALL_BASE_URL.'
  }
  if (-not $Dir) { $Dir = Join-Path $env:LOCALAPPDATA 'Programs\atlas' }

  $target = Get-Target
  $name = "atlas-$Version-$target"
  $work = Join-Path ([IO.Path]::GetTempPath()) "atlas-install-$([Guid]::NewGuid().ToString('N'))"
  New-Item -ItemType Directory -Path $work | Out-Null
  try {
    $sums = Join-Path $work 'SHA256SUMS'
    $program = Join-Path $Dir 'atlas.exe'
    if (Test-Path -PathType Container -LiteralPath $program) {
      Stop-Installation "$program is a folder" 'Move it away, or choose another folder with -Dir.'
    }
    $previous = if (Test-Path -LiteralPath $program) { Get-InstalledVersion $program } else { '' }
    $fault = Get-SignatureFault $work
    $mayGoWithout = $env:ATLAS_REQUIRE_SIGNATURE -eq '0' -or (-not $env:ATLAS_REQUIRE_SIGNATURE -and $fault -match '^there is no ')
    if ($fault -and -not $mayGoWithout) {
      Stop-Installation "the signature cannot be checked: $fault" 'Mend that, or set ATLAS_REQUIRE_SIGNATURE=0 to install without the check.'
    }
    Write-Output "Downloading $BaseUrl/$name.zip"
    Get-ReleaseFile "$BaseUrl/SHA256SUMS" $sums
    if (-not $fault) { Get-ReleaseFile "$BaseUrl/SHA256SUMS.sig" "$sums.sig" 'there is no signature of SHA256SUMS' }
    Get-ReleaseFile "$BaseUrl/$name.zip" (Join-Path $work "$name.zip")
    if ($fault) { Write-Output "The signature was not checked: $fault" } else { Test-Signature $sums $work }
    Test-Checksum $sums $work "$name.zip" $target

    Expand-Archive -LiteralPath (Join-Path $work "$name.zip") -DestinationPath $work
    New-Item -ItemType Directory -Force -Path $Dir | Out-Null
    # Names of its own: another installation may run, and an older program that still runs cannot be deleted.
    $unique = [Guid]::NewGuid().ToString('N')
    $staged = Join-Path $Dir "atlas.new-$unique.exe"
    Copy-Item -Force -LiteralPath (Join-Path $work "$name\atlas.exe") -Destination $staged
    $running = try { & $staged --version } catch { '' }
    if (-not $running) { Stop-Installation "this machine cannot run $name" 'Report it with your version of Windows.' }
    if (-not "$running".StartsWith("atlas/$Version ")) {
      Stop-Installation "$name holds another version: $running" 'Report it. Nothing was installed.'
    }
    # Windows lets a program that runs be renamed, not replaced.
    $old = Join-Path $Dir "atlas.old-$unique.exe"
    try {
      if ($previous) { Move-Item -LiteralPath $program -Destination $old }
      Move-Item -LiteralPath $staged -Destination $program
    } catch {
      Stop-Installation "$program cannot be replaced" 'Close what uses it and try again.'
    } finally {
      # After Ctrl-C too.
      if (-not (Test-Path -LiteralPath $program) -and (Test-Path -LiteralPath $old)) {
        Move-Item -LiteralPath $old -Destination $program
      }
    }
    Get-ChildItem -LiteralPath $Dir | Where-Object { $_.Name -match '^atlas\.old-[0-9a-f]{32}\.exe$' } |
      Remove-Item -Force -ErrorAction SilentlyContinue
    if ((& $program --version) -ne $running) {
      Stop-Installation "$program is not what was installed" 'Look at what else writes there, and try again.'
    }
    Write-Output "Installed $running as $program"
    if ($previous -and $previous -ne $running) { Write-Output "It replaces $previous" }
    if (($env:PATH -split ';') -notcontains $Dir) {
      Write-Output 'Put it on your PATH with:'
      Write-Output "  [Environment]::SetEnvironmentVariable('Path', [Environment]::GetEnvironmentVariable('Path', 'User') + ';$Dir', 'User')"
    }
  } finally {
    if ($staged) { Remove-Item -Force -ErrorAction SilentlyContinue -LiteralPath $staged }
    Remove-Item -Recurse -Force -ErrorAction SilentlyContinue -LiteralPath $work
  }
}

Install-Atlas
