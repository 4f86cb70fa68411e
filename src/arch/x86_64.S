// Entry stub and stack switching for x86-64.
//
// A fresh goroutine arrives in skein_goroutine_start by the jump of a register switch:
//
//     rdx   what the switch hands over
//     rbx   the stack's record
//     rsp   top of the stack, 16-byte aligned
//
// There is no frame above it. rip and rbp are declared undefined, so backtrace(), exceptions, perf
// and gdb stop here; the nop in front keeps "return address - 1" inside the function.

        .text
        .p2align 4
        .globl  skein_goroutine_start
        .type   skein_goroutine_start, @function
        .cfi_startproc
        .cfi_undefined rip
        .cfi_undefined rbp
        nop
skein_goroutine_start:
        xorl    %ebp, %ebp
        movq    %rdx, %rdi
        movq    %rbx, %rsi
        call    skein_goroutine_main@PLT
        ud2
        .cfi_endproc
        .size   skein_goroutine_start, .-skein_goroutine_start

// skein_call_on_stack(f, arg, top): the caller's frame stays reachable through rbp.
//
//     old stack:  return address | saved rbp  <- rbp
//     new stack:  f's frame                   <- top

        .p2align 4
        .globl  skein_call_on_stack
        .type   skein_call_on_stack, @function
skein_call_on_stack:
        .cfi_startproc
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register rbp
        movq    %rdx, %rsp
        movq    %rdi, %rax
        movq    %rsi, %rdi
        call    *%rax
        leave
        .cfi_def_cfa rsp, 8
        ret
        .cfi_endproc
        .size   skein_call_on_stack, .-skein_call_on_stack

        .section .note.GNU-stack,"",@progbits
