module vocabulary

go 1.25
