#%Module1.0
proc ModulesHelp { } {
    puts stderr "Records which programs run, and from which builds they come."
}
module-whatis "OGRT: tracking of programs"

# Sets a variable, and restores its old value when the module is unloaded. That is what pushenv is
# for, but environment-modules has it only since 5.1, and 5.2 cuts the restored value at a colon.
proc put { name value } {
    global env ModuleTool
    if { [info exists ModuleTool] && $ModuleTool eq "Lmod" } {
        # Lmod looks for the old value at the end of this file, and may look into this very env.
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
            # While a module is unloaded, unsetenv with a value sets it.
            unsetenv $name $env($kept)
        } else {
            # While a module is unloaded, setenv unsets. With "" a swap finds nothing of ours there.
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

