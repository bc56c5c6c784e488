using System.Diagnostics;
using System.Globalization;
using RbeMl.Cli;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Files;

/// <summary>Writes that a test's child process is killed in, and what is there then.</summary>
internal static class KilledWork
{
    public const string File = "file", Model = "model", Folder = "folder", HuggingFace = "hugging face", Run = "run";

    private const string Settings = "RBEML_TEST_KILLED";

    /// <summary>Writes "new" in a process of its own, which is killed before one of its steps.</summary>
    /// <param name="work">What to write.</param>
    /// <param name="folder">Where.</param>
    /// <param name="step">The step, from 1.</param>
    /// <param name="exchange">Whether names may be exchanged at once.</param>
    /// <returns>Whether it came to its end before that step.</returns>
    public static bool DoUntil(string work, string folder, int step, bool exchange)
    {
        try
        {
            return ChildProgram.Run(Child, $"{Settings}={work}|{folder}|{step}|{exchange}") == "done";
        }
        catch (InvalidOperationException error)
        {
            Assert.Matches("^the child process ended with (137|-1): $", error.Message);
            return false;
        }
    }

    private static string Child()
    {
        string[] settings = Environment.GetEnvironmentVariable(Settings)!.Split('|');
        int left = int.Parse(settings[2], CultureInfo.InvariantCulture);
        FileSteps.MayExchange = bool.Parse(settings[3]);
        FileSteps.Before = _ =>
        {
            if (--left > 0) return;
            using Process self = Process.GetCurrentProcess();
            self.Kill();
            Thread.Sleep(Timeout.Infinite);
        };
        Do(settings[0], settings[1], "new");
        return "done";
    }

    /// <summary>Writes "old" or "new".</summary>
    public static void Do(string work, string folder, string text)
    {
        switch (work)
        {
            case File:
                AtomicFile.WriteText(Path.Combine(folder, "a.txt"), Content(text));
                break;
            case Model:
                ModelFile.Save(Path.Combine(folder, "model.rbe"), SmallModel.Create(), run: new RunMark(text, text));
                break;
            case Folder:
                AtomicFolder.Write(Path.Combine(folder, "a"), _ => true, target =>
                {
                    System.IO.File.WriteAllText(Path.Combine(target, "one"), Content(text));
                    AtomicFile.WriteText(Path.Combine(target, "two"), Content(text));
                });
                break;
            case HuggingFace:
                Gpt2Directory.Save(Path.Combine(folder, "gpt2"), SmallModel.Create(), element: text == "old" ? SafetensorsElement.F32 : SafetensorsElement.F16);
                break;
            case Run:
                RunFiles files = new(folder, overwrite: false);
                files.KeepEarlier();
                AtomicFile.WriteText(files.Model, Content(text));
                AtomicFile.WriteText(files.Metrics, Content(text));
                break;
            default:
                throw new ArgumentException(work, nameof(work));
        }
    }

    /// <summary>What is there: "old" or "new", whole.</summary>
    public static string Find(string work, string folder)
    {
        switch (work)
        {
            case File:
                return Whole(Path.Combine(folder, "a.txt"));
            case Model:
                using (ModelBundle bundle = ModelFile.Load(Path.Combine(folder, "model.rbe"))) return bundle.Run!.RunId;
            case Folder:
                string first = Whole(Path.Combine(folder, "a", "one"));
                Assert.Equal(first, Whole(Path.Combine(folder, "a", "two")));
                return first;
            case HuggingFace:
                using (Gpt2Directory directory = Gpt2Directory.Open(Path.Combine(folder, "gpt2")))
                {
                    directory.LoadDense().Dispose();
                    return directory.Tensors.Tensors[0].Element == SafetensorsElement.F32 ? "old" : "new";
                }

            default:
                return Whole(Path.Combine(folder, "model.rbe"));
        }
    }

    private static string Content(string text) => string.Concat(Enumerable.Repeat(text, 5000));

    private static string Whole(string path)
    {
        string content = System.IO.File.ReadAllText(path), text = content[..3];
        Assert.Equal(Content(text), content);
        return text;
    }
}
