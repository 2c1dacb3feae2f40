program waves
  use series
  print '(f8.4)', total(1000)
end program
