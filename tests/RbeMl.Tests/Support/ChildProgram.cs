using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;

namespace RbeMl.Tests.Support;

/// <summary>Runs a static method of this assembly, which takes nothing and returns text, in a process with other settings of the runtime.</summary>
internal static class ChildProgram
{
    /// <summary>What the method returns there.</summary>
    /// <param name="method">The method; no lambda.</param>
    /// <param name="environment">Variables that the child has besides, as NAME=VALUE.</param>
    public static string Run(Func<string> method, params string[] environment)
    {
        string root = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."));
        string host = Path.Combine(root, OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet");
        ProcessStartInfo start = new(host, ["exec", typeof(ChildProgram).Assembly.Location, method.Method.DeclaringType!.FullName!, method.Method.Name])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        };
        foreach (string variable in environment) start.Environment[variable.Split('=')[0]] = variable.Split('=')[1];
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(Patience.Limit)) process.Kill(entireProcessTree: true);
        process.WaitForExit();
        return process.ExitCode == 0 ? output.Result
            : throw new InvalidOperationException($"the child process ended with {process.ExitCode}: {output.Result}{errors.Result}");
    }

    private static int Main(string[] args)
    {
        if (args is not [string type, string name]) return 0; // started by a test runner
        MethodInfo method =
            typeof(ChildProgram).Assembly.GetType(type, throwOnError: true)!.GetMethod(name,
                BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic)!;
        Console.Write((string)method.Invoke(null, null)!);
        return 0;
    }
}
