@echo On Windows, run this inside WSL2: https://learn.microsoft.com/windows/wsl/install & exit /b 2
