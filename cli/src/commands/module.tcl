#%Module1.0
proc ModulesHelp { } {
    puts stderr "Records which programs run, and from which builds they come."
}
module-whatis "OGRT: tracking of programs"

# Sets a variable, and gives back what was there before when the module is unloaded. That is what pushenv is for, but
# environment-modules has it only since 5.1, and 5.2 cuts what it gives back at a colon.
proc put { name value } {
    global env ModuleTool
    if { [info exists ModuleTool] && $ModuleTool eq "Lmod" } {
        # Lmod looks for what was there when this file is at its end, and may do so in this very env.
        set before [array get env $name]
        pushenv $name $value
        set env($name) ""
        unset env($name)
        array set env $before
        return
    }
    set kept "${name}_BEFORE"
    if { [module-info mode remove] } {
        if { [info exists env($kept)] && $env($kept) ne "" } {
            # While unloading, this sets.
            unsetenv $name $env($kept)
        } else {
            # And this unsets; "", so that a swap finds nothing of ours there.
            setenv $name ""
        }
        setenv $kept ""
        return
    }
    if { [module-info mode load] && [info exists env($name)] && $env($name) ne "" } {
        setenv $kept $env($name)
    }
    setenv $name $value
}

