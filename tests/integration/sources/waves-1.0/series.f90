module series
contains
  real function total(n)
    integer, intent(in) :: n
    integer :: i
    total = 0
    do i = 1, n
      total = total + sin(real(i))
    end do
  end function
end module
