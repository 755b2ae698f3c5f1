from pleura.cli import main

main()
