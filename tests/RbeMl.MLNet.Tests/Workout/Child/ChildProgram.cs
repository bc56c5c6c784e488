using System.Reflection;
using Microsoft.ML;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>The entry point of this assembly when it runs as a process of its own.</summary>
internal static class ChildProgram
{
    /// <summary>The first argument; then follow the model, the data, the output, and the type and name of the method that prepares the context.</summary>
    public const string TransformVerb = "transform";

    private static int Main(string[] args)
    {
        if (args is not [TransformVerb, var model, var data, var output, var type, var method])
        {
            Console.Error.WriteLine($"usage: {TransformVerb} model.zip data.idv output.idv type method");
            return 2;
        }

        var ml = new MLContext(seed: 654);
        Prepare(type, method)(ml);
        ITransformer transformer = ml.Model.Load(model, out _);
        using FileStream file = File.Create(output);
        ml.Data.SaveAsBinary(transformer.Transform(ml.Data.LoadFromBinary(data)), file);
        return 0;
    }

    // A lambda without captures is an instance method of a class without fields.
    private static Action<MLContext> Prepare(string type, string name)
    {
        Type owner = Type.GetType(type, throwOnError: true)!;
        MethodInfo method = owner.GetMethod(name, BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
            ?? throw new MissingMethodException(type, name);
        object? target = method.IsStatic ? null : Activator.CreateInstance(owner, nonPublic: true);
        return method.CreateDelegate<Action<MLContext>>(target);
    }
}
